/** Dates in header fields (RFC 9110 section 5.6.7). */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const FIXDATE = /^[A-Za-z]*, *(\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d)/;
const RFC850 = /^[A-Za-z]*, *(\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d):(\d\d):(\d\d)/;
const ASCTIME = /^[A-Za-z]+ +([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})/;

/** @returns seconds since the epoch, -1 when it is none of the three forms */
export function parseHttpDate(text: string): number {
  let match = FIXDATE.exec(text);
  if (match !== null) return epoch(match[3]!, match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
  match = RFC850.exec(text);
  if (match !== null) {
    const year = Number(match[3]);
    return epoch(String(year + (year < 70 ? 2000 : 1900)), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
  }
  match = ASCTIME.exec(text);
  return match === null ? -1 : epoch(match[6]!, match[1]!, match[2]!, match[3]!, match[4]!, match[5]!);
}

function epoch(year: string, monthName: string, day: string, h: string, m: string, s: string): number {
  const month = MONTHS.indexOf(monthName);
  if (month < 0 || Number(h) > 23 || Number(m) > 59 || Number(s) > 59) return -1;
  const date = new Date(Date.UTC(Number(year), month, Number(day)));
  // A day that the month does not have would have moved on.
  if (date.getUTCDate() !== Number(day) || date.getUTCMonth() !== month) return -1;
  return date.getTime() / 1000 + Number(h) * 3600 + Number(m) * 60 + Number(s);
}

/** `Mon, 28 Sep 1970 06:00:00 GMT`. @param seconds since the epoch */
export function formatHttpDate(seconds: number): string {
  return new Date(seconds * 1000).toUTCString();
}
