/**
 * System errors as nginx words them: `(2: No such file or directory)`.
 *
 * Node's own texts come from libuv and differ (`address not available` for `Cannot assign requested address`), so
 * the texts of glibc's strerror(3) that a proxy can meet are kept here; for the rest libuv's text is capitalised.
 */

/** glibc's strerror(3), where it is not libuv's text with a capital letter. */
const TEXTS: Record<string, string> = {
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EAFNOSUPPORT: 'Address family not supported by protocol',
  EAGAIN: 'Resource temporarily unavailable',
  EBADF: 'Bad file descriptor',
  EBUSY: 'Device or resource busy',
  ECONNABORTED: 'Software caused connection abort',
  EFBIG: 'File too large',
  EHOSTDOWN: 'Host is down',
  EHOSTUNREACH: 'No route to host',
  EINTR: 'Interrupted system call',
  EINVAL: 'Invalid argument',
  EIO: 'Input/output error',
  EISDIR: 'Is a directory',
  ELOOP: 'Too many levels of symbolic links',
  EMFILE: 'Too many open files',
  EMSGSIZE: 'Message too long',
  ENAMETOOLONG: 'File name too long',
  ENETUNREACH: 'Network is unreachable',
  ENFILE: 'Too many open files in system',
  ENOBUFS: 'No buffer space available',
  ENOMEM: 'Cannot allocate memory',
  ENOTCONN: 'Transport endpoint is not connected',
  ENOTSUP: 'Operation not supported',
  ENXIO: 'No such device or address',
  EPROTOTYPE: 'Protocol wrong type for socket',
  ESRCH: 'No such process',
  ETXTBSY: 'Text file busy',
};

interface SystemError {
  code?: string | undefined;
  errno?: number | undefined;
  message: string;
}

let codes: Map<string, { number: number; text: string }> | null = null;

function lookup(code: string): { number: number; text: string } | undefined {
  if (codes === null) {
    codes = new Map();
    // Not imported: a start without errors is quicker for it.
    const { getSystemErrorMap } = process.getBuiltinModule('node:util');
    for (const [number, [name, text]] of getSystemErrorMap()) codes.set(name, { number: -number, text });
  }
  return codes.get(code);
}

/** Reads what was thrown as an error with, perhaps, a system error code. */
export function asError(thrown: unknown): SystemError {
  return thrown instanceof Error ? (thrown as SystemError) : { message: String(thrown) };
}

/**
 * @param thrown an error of node:fs, node:net or the like
 * @returns `2: No such file or directory`; the error's own message when it is not a system error
 */
export function errnoText(thrown: unknown): string {
  const { code, errno, message } = asError(thrown);
  if (code === undefined) return message;
  const known = lookup(code);
  const number = errno === undefined ? known?.number : Math.abs(errno);
  if (number === undefined) return message;
  const text = TEXTS[code] ?? known?.text ?? code;
  return `${number}: ${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** `open() "F" failed (2: No such file or directory)`: nginx's form. `what` is the part before ` failed`. */
export function failedText(what: string, thrown: unknown): string {
  return `${what} failed (${errnoText(thrown)})`;
}

/** A fault of our own in one line: what happened and where. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = /\n\s+at (.*)/.exec(error.stack ?? '')?.[1];
  const text = `${error.name}: ${error.message}`;
  return place === undefined ? text : `${text} at ${place}`;
}
