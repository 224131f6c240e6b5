/** What parsing a head can come to. */

/** The bytes ran out. */
export const MORE = 0;
export const DONE = 1;
export const BAD = -1;
/** More fields than allowed. */
export const TOO_MANY = -2;
/** A field line longer than allowed. */
export const TOO_LONG = -5;
/** A version that is not HTTP/1. */
export const BAD_VERSION = -3;
/** The bytes do not begin like a status line at all. */
export const NOT_HTTP = -4;
