/**
 * The time a group lives in. `upstream/` never asks the operating system: a test or a simulation passes its own.
 */
export interface Clock {
  /**
   * Milliseconds since any fixed point, the same for all threads that share a table (epoch time is fine, and may be
   * cached once a tick). It may stand still. Steps back of less than a minute are treated as standing still.
   */
  now(): number;
}
