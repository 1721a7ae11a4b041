/** Clocks of members may differ by this much, in ms. */
export const CLOCK_TOLERANCE_MS = 10 * 60_000

/** Longest an admission lasts, in ms: 30 days. */
export const ADMISSION_LIFETIME_MS = 30 * 24 * 3_600_000

/** Most members of one network. */
export const MAX_MEMBERS = 10_000

/** Most bytes of a certificate bundle. */
export const MAX_BUNDLE_BYTES = 2_048
