/** Numbers as people read them. */

const NARROW = '\u202f';

/** 0.4, 12, 1,234, 12.3k: never more than five characters or so. */
export function count(n: number): string {
  if (n >= 9_995_000) return `${(n / 1e6).toFixed(n >= 99_950_000 ? 0 : 1)}M`;
  if (n >= 9995) return `${(n / 1000).toFixed(n >= 99_950 ? 0 : 1)}k`;
  return Math.round(n).toLocaleString('en-US');
}

/** A rate: with a decimal while it is small. */
export function rate(n: number): string {
  if (n > 0 && n < 9.95) return n < 0.05 ? '<0.1' : n.toFixed(1);
  return count(n);
}

/** A response time: `0.4 ms`, `12 ms`, `1.2 s`. */
export function duration(ms: number | null): string {
  if (ms === null) return '–';
  if (ms === 0) return `0${NARROW}ms`;
  if (ms < 9.95) return `${ms.toFixed(1)}${NARROW}ms`;
  if (ms < 999.5) return `${Math.round(ms)}${NARROW}ms`;
  return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)}${NARROW}s`;
}

/** How long something has lasted: `4 s`, `12 min`, `3 h 20 min`, `5 d 2 h`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s}${NARROW}s`;
  const min = Math.floor(s / 60);
  if (min < 120) return `${min}${NARROW}min`;
  const h = Math.floor(min / 60);
  if (h < 48) return `${h}${NARROW}h ${min % 60}${NARROW}min`;
  return `${Math.floor(h / 24)}${NARROW}d ${h % 24}${NARROW}h`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

export function bytes(n: number): string {
  let unit = 0;
  let value = n;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)}${NARROW}${UNITS[unit]}`;
}

/** 0.125 as `13 %`. */
export function percent(share: number): string {
  if (share > 0 && share < 0.0095) return `${(share * 100).toFixed(1)}${NARROW}%`;
  return `${Math.round(share * 100)}${NARROW}%`;
}

export function clockTime(ms: number): string {
  return new Date(ms).toLocaleTimeString(undefined, { hour12: false });
}

/** `once`, `3 times`. */
export function times(n: number): string {
  return n === 1 ? 'once' : `${count(n)} times`;
}

/** `1 server`, `3 servers`. */
export function many(n: number, thing: string): string {
  return `${count(n)} ${n === 1 ? thing : `${thing}s`}`;
}
