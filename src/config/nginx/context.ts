/**
 * Blocks in which a directive may stand, and how many arguments it takes: bit masks, as one entry can name several.
 */
export const Context = {
  main: 1 << 0,
  events: 1 << 1,
  http: 1 << 2,
  server: 1 << 3,
  location: 1 << 4,
  ifInServer: 1 << 5,
  ifInLocation: 1 << 6,
  limitExcept: 1 << 7,
  upstream: 1 << 8,
  stream: 1 << 9,
  streamServer: 1 << 10,
  streamUpstream: 1 << 11,
  admin: 1 << 24,
} as const;

/** `http`, `server` and `location`: the usual place. */
export const HTTP_ALL = Context.http | Context.server | Context.location;
export const HTTP_SERVER = Context.http | Context.server;
/** `stream` and its servers. */
export const STREAM_ALL = Context.stream | Context.streamServer;
/** Servers of http and stream, and what they inherit from. */
export const ALL_SERVERS = HTTP_SERVER | STREAM_ALL;
/** As `HTTP_ALL`, and stream. */
export const ALL = HTTP_ALL | STREAM_ALL;
/** `upstream` of either. */
export const UPSTREAM_BLOCK = Context.upstream | Context.streamUpstream;
export const ANYWHERE = ((1 << 12) - 1) | Context.admin;

const STREAM_BLOCKS = STREAM_ALL | Context.streamUpstream;

/** Whether a block belongs to `stream`. */
export function isStream(context: number): boolean {
  return (context & STREAM_BLOCKS) !== 0;
}

/** Argument counts; bit N stands for N arguments. */
export const Args = {
  none: 1 << 0,
  one: 1 << 1,
  two: 1 << 2,
  three: 1 << 3,
  four: 1 << 4,
  oneOrTwo: (1 << 1) | (1 << 2),
  twoOrThree: (1 << 2) | (1 << 3),
  oneToThree: (1 << 1) | (1 << 2) | (1 << 3),
  oneToFour: (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4),
  noneToTwo: (1 << 0) | (1 << 1) | (1 << 2),
  oneOrMore: 1 << 29,
  twoOrMore: 1 << 30,
} as const;

/** @param count number of arguments after the directive's name */
export function argsFit(mask: number, count: number): boolean {
  if ((mask & Args.oneOrMore) !== 0) return count >= 1 || (mask & Args.none) !== 0;
  if ((mask & Args.twoOrMore) !== 0) return count >= 2;
  return count < 8 && (mask & (1 << count)) !== 0;
}
