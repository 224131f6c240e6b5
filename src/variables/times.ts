/** Times as variables and logs write them. Local time stamps are made once a second. */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const two = (n: number): string => (n < 10 ? `0${n}` : String(n));

let second = -1;
let common = '';
let iso = '';

function refresh(wallMs: number): void {
  const now = Math.floor(wallMs / 1000);
  if (now === second) return;
  second = now;
  const d = new Date(now * 1000);
  const offset = -d.getTimezoneOffset();
  const sign = offset < 0 ? '-' : '+';
  const hours = two(Math.floor(Math.abs(offset) / 60));
  const minutes = two(Math.abs(offset) % 60);
  const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  common = `${two(d.getDate())}/${MONTHS[d.getMonth()]}/${d.getFullYear()}:${time} ${sign}${hours}${minutes}`;
  iso = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${time}${sign}${hours}:${minutes}`;
}

/** `28/Sep/1970:12:00:00 +0600`. @param wallMs milliseconds since the epoch */
export function commonLogTime(wallMs: number): string {
  refresh(wallMs);
  return common;
}

/** `1970-09-28T12:00:00+06:00`. @param wallMs milliseconds since the epoch */
export function isoTime(wallMs: number): string {
  refresh(wallMs);
  return iso;
}

/** `1.042`: milliseconds as seconds with three digits; negative ones are 0. */
export function seconds(ms: number): string {
  const whole = ms > 0 ? Math.floor(ms) : 0;
  const rest = whole % 1000;
  return `${Math.floor(whole / 1000)}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}`;
}
