/** Times as strftime(3) writes them in the C locale, for `<!--# config timefmt="…" -->`. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

export const DEFAULT_TIME_FORMAT = '%A, %d-%b-%Y %H:%M:%S %Z';
/** nginx formats into a buffer of this size; what does not fit is nothing. */
const MAX_LENGTH = 255;

const two = (n: number): string => String(n).padStart(2, '0');
const spaced = (n: number): string => String(n).padStart(2, ' ');

interface Moment {
  seconds: number;
  date: Date;
  offsetMinutes: number;
  zone: string;
}

/** Day of the year, from 0. */
function yearDay(date: Date): number {
  return Math.round((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / 86_400_000 - 0.5);
}

/** ISO 8601: the week's Thursday decides. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getTime() + (4 - (date.getUTCDay() || 7)) * 86_400_000);
  return { year: thursday.getUTCFullYear(), week: Math.floor(yearDay(thursday) / 7) + 1 };
}

function conversion(letter: string, m: Moment): string | null {
  const { date } = m;
  const hours = date.getUTCHours();
  const again = (format: string): string => expand(format, m);
  switch (letter) {
    case 'a':
      return DAYS[date.getUTCDay()]!.slice(0, 3);
    case 'A':
      return DAYS[date.getUTCDay()]!;
    case 'b':
    case 'h':
      return MONTHS[date.getUTCMonth()]!.slice(0, 3);
    case 'B':
      return MONTHS[date.getUTCMonth()]!;
    case 'c':
      return again('%a %b %e %H:%M:%S %Y');
    case 'C':
      return two(Math.floor(date.getUTCFullYear() / 100));
    case 'd':
      return two(date.getUTCDate());
    case 'D':
    case 'x':
      return again('%m/%d/%y');
    case 'e':
      return spaced(date.getUTCDate());
    case 'F':
      return again('%Y-%m-%d');
    case 'g':
      return two(isoWeek(date).year % 100);
    case 'G':
      return String(isoWeek(date).year);
    case 'H':
      return two(hours);
    case 'I':
      return two(hours % 12 || 12);
    case 'j':
      return String(yearDay(date) + 1).padStart(3, '0');
    case 'k':
      return spaced(hours);
    case 'l':
      return spaced(hours % 12 || 12);
    case 'm':
      return two(date.getUTCMonth() + 1);
    case 'M':
      return two(date.getUTCMinutes());
    case 'n':
      return '\n';
    case 'p':
      return hours < 12 ? 'AM' : 'PM';
    case 'P':
      return hours < 12 ? 'am' : 'pm';
    case 'r':
      return again('%I:%M:%S %p');
    case 'R':
      return again('%H:%M');
    case 's':
      return String(m.seconds);
    case 'S':
      return two(date.getUTCSeconds());
    case 't':
      return '\t';
    case 'T':
    case 'X':
      return again('%H:%M:%S');
    case 'u':
      return String(date.getUTCDay() || 7);
    case 'U':
      return two(Math.floor((yearDay(date) + 7 - date.getUTCDay()) / 7));
    case 'V':
      return two(isoWeek(date).week);
    case 'w':
      return String(date.getUTCDay());
    case 'W':
      return two(Math.floor((yearDay(date) + 7 - ((date.getUTCDay() + 6) % 7)) / 7));
    case 'y':
      return two(date.getUTCFullYear() % 100);
    case 'Y':
      return String(date.getUTCFullYear());
    case 'z': {
      const minutes = Math.abs(m.offsetMinutes);
      return `${m.offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}${two(minutes % 60)}`;
    }
    case 'Z':
      return m.zone;
    case '%':
      return '%';
    default:
      return null;
  }
}

function expand(format: string, m: Moment): string {
  return format.replace(/%[EO]?(.)/gs, (whole, letter: string) => conversion(letter, m) ?? whole);
}

/**
 * @param wallMs milliseconds since the epoch
 * @returns the text; empty when it would be longer than 255 bytes
 */
export function strftime(format: string, wallMs: number, gmt: boolean): string {
  const seconds = Math.floor(wallMs / 1000);
  const now = new Date(seconds * 1000);
  const offsetMinutes = gmt ? 0 : -now.getTimezoneOffset();
  // The parts of local time, read as if they were UTC's.
  const date = new Date(now.getTime() + offsetMinutes * 60_000);
  const text = expand(format, { seconds, date, offsetMinutes, zone: gmt ? 'GMT' : localZone(now) });
  return text.length > MAX_LENGTH ? '' : text;
}

function localZone(now: Date): string {
  const part = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' })
    .formatToParts(now)
    .find((p) => p.type === 'timeZoneName');
  return part?.value ?? '';
}
