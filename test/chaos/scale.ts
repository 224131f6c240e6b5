/** How long chaos lasts: short in `npm test`, long when HEADRACE_CHAOS=long is set. */
export const LONG: boolean = process.env.HEADRACE_CHAOS === 'long';

/** HEADRACE_CHAOS_REQUESTS overrides the number of requests. */
export function requests(short: number, long: number): number {
  const wanted = Number(process.env.HEADRACE_CHAOS_REQUESTS);
  return wanted > 0 ? wanted : LONG ? long : short;
}

/** Longer than any run may take, milliseconds. */
export const TIMEOUT_MS: number = LONG ? 3_600_000 : 120_000;
