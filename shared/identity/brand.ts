declare const brand: unique symbol

/** A value that only its parser can make: `Brand<string, 'NodeId'>` is a string, but no string is one. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name }
