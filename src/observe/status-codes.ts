/**
 * Statuses that are counted one by one for each server of a group: those of the registry (RFC 9110 section 16.2.1) and
 * those that nginx and large networks use. Others count in their class alone; all of 500 for each server would be memory
 * that nothing ever stands in.
 */
export const CODES: readonly number[] = [
  100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400,
  401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425,
  426, 428, 429, 431, 444, 451, 460, 494, 495, 496, 497, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
  520, 521, 522, 523, 524, 525, 526, 530, 561, 598, 599,
];

/** Numbers that are kept for each server. */
export const CODE_COUNT: number = CODES.length;

const PLACES = new Int8Array(600).fill(-1);
for (const [i, code] of CODES.entries()) PLACES[code] = i;

/** Place of a status (100 to 599) in `CODES`, -1: it has none. */
export function placeOf(status: number): number {
  return PLACES[status]!;
}
