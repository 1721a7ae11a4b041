/**
 * Why a splice has come to another end than its own: an end was reset, the TLS ended before the stream inside it, what came
 * is no stream, TLS found no agreement, we broke it off, or the engine failed.
 */
export type SpliceFault = 'reset' | 'cut-short' | 'malformed' | 'tls' | 'cut' | 'failed'
