/**
 * The two time stamps of log lines, in local time, made once a second.
 */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

let second = -1;
let errorText = '';
let syslogText = '';

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

function refresh(nowMs: number): void {
  const current = Math.floor(nowMs / 1000);
  if (current === second) return;
  second = current;
  const date = new Date(current * 1000);
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  errorText = `${date.getFullYear()}/${two(date.getMonth() + 1)}/${two(date.getDate())} ${clock}`;
  // RFC 3164, 4.1.2: the day is padded with a space.
  syslogText = `${MONTHS[date.getMonth()]} ${String(date.getDate()).padStart(2)} ${clock}`;
}

/** `2026/11/21 13:35:00`. @param nowMs time of day, milliseconds since the epoch */
export function errorLogTime(nowMs: number = Date.now()): string {
  refresh(nowMs);
  return errorText;
}

/** `Nov 21 13:35:00` (RFC 3164). @param nowMs time of day, milliseconds since the epoch */
export function syslogTime(nowMs: number = Date.now()): string {
  refresh(nowMs);
  return syslogText;
}
