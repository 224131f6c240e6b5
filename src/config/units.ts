/**
 * Numbers, sizes and times as nginx writes them (ngx_parse.c, ngx_string.c). All return null for what nginx refuses.
 */

/** Limits of the 64-bit build that nginx's overflow checks use, cut to what a double holds exactly. */
const MAX = Number.MAX_SAFE_INTEGER;

/** Unsigned decimal number; no sign, no spaces. */
export function parseNumber(text: string): number | null {
  if (!/^[0-9]+$/.test(text)) return null;
  const value = Number(text);
  return value > MAX ? null : value;
}

const SIZE_SCALES: Record<string, number> = { k: 1024, K: 1024, m: 1024 ** 2, M: 1024 ** 2 };
const OFFSET_SCALES: Record<string, number> = { ...SIZE_SCALES, g: 1024 ** 3, G: 1024 ** 3 };

function scaled(text: string, scales: Record<string, number>): number | null {
  const scale = scales[text.slice(-1)];
  const value = parseNumber(scale === undefined ? text : text.slice(0, -1));
  if (value === null) return null;
  const total = value * (scale ?? 1);
  return total > MAX ? null : total;
}

/** Size in bytes: digits and an optional `k` or `m`. */
export function parseSize(text: string): number | null {
  return scaled(text, SIZE_SCALES);
}

/** Offset in bytes: as a size, also `g`. */
export function parseOffset(text: string): number | null {
  return scaled(text, OFFSET_SCALES);
}

const STEPS: Record<string, { step: number; seconds: number }> = {
  y: { step: 1, seconds: 60 * 60 * 24 * 365 },
  M: { step: 2, seconds: 60 * 60 * 24 * 30 },
  w: { step: 3, seconds: 60 * 60 * 24 * 7 },
  d: { step: 4, seconds: 60 * 60 * 24 },
  h: { step: 5, seconds: 60 * 60 },
  m: { step: 6, seconds: 60 },
  s: { step: 7, seconds: 1 },
};
const MSEC_STEP = 8;
const LAST_STEP = 9;

/**
 * Time: groups of digits and a unit, largest unit first; a bare number is seconds and comes last.
 *
 * @param unit what to return: `ms` refuses years and months, `s` refuses milliseconds
 * @returns milliseconds or whole seconds, null if refused
 */
export function parseTime(text: string, unit: 'ms' | 's'): number | null {
  const inSeconds = unit === 's';
  const factor = inSeconds ? 1 : 1000;
  let step = inSeconds ? 0 : 2;
  let total = 0;
  let value = 0;
  let valid = false;
  let i = 0;

  while (i < text.length) {
    const ch = text[i++] as string;
    if (ch >= '0' && ch <= '9') {
      value = value * 10 + Number(ch);
      if (value > MAX) return null;
      valid = true;
      continue;
    }

    let scale = factor;
    if (ch === 'm' && text[i] === 's') {
      if (inSeconds || step >= MSEC_STEP) return null;
      i++;
      step = MSEC_STEP;
      scale = 1;
    } else if (ch === ' ') {
      // A space closes a bare number, after which nothing may follow but a smaller unit's absence.
      if (step >= 7) return null;
      step = LAST_STEP;
    } else {
      const known = STEPS[ch];
      // Years are allowed once at the start only; the others in strictly falling order.
      if (known === undefined || (ch === 'y' ? step > 0 : step >= known.step)) return null;
      step = known.step;
      scale = known.seconds * factor;
    }

    total += value * scale;
    if (total > MAX) return null;
    value = 0;
    while (text[i] === ' ') i++;
  }

  if (!valid) return null;
  total += value * factor;
  return total > MAX ? null : total;
}
