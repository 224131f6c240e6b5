/** Files of users and passwords, kept in memory and read again when they have changed. */
import { readFileSync, statSync } from 'node:fs';
import { fsPath } from '../../config/bytes.ts';

/** Files whose names come from variables: the ones that were asked for last are kept. */
const MAX_FILES = 64;
/** Longer files are not what they seem. */
const MAX_BYTES = 64 * 1024 * 1024;

interface UserFile {
  /** What tells that the file is still the one that was read. */
  identity: string;
  /** Password as stored, by user. One character a byte. */
  users: Map<string, string>;
}

const files = new Map<string, UserFile>();

/**
 * The password of a user as it is stored: plain, or made by crypt.
 *
 * @param path one character a byte
 * @returns null: the file does not have the user
 * @throws what node:fs throws, `ENOENT` for instance
 */
export function storedPassword(path: string, user: string): string | null {
  const { size, ctimeNs, mtimeNs, ino } = statSync(fsPath(path), { bigint: true });
  const identity = `${ino} ${size} ${ctimeNs} ${mtimeNs}`;
  let file = files.get(path);
  if (file === undefined || file.identity !== identity) {
    if (size > MAX_BYTES) throw new RangeError(`${size} bytes: a file of users has at most ${MAX_BYTES}`);
    file = { identity, users: parseUsers(readFileSync(fsPath(path), 'latin1')) };
    files.delete(path);
    files.set(path, file);
    if (files.size > MAX_FILES) files.delete(files.keys().next().value!);
  }
  return file.users.get(user) ?? null;
}

/** Lines of `user:password`, maybe with `:comment` behind; `#` begins a comment line. The first line of a user counts. */
export function parseUsers(text: string): Map<string, string> {
  const users = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line.startsWith('#') || line.startsWith('\r')) continue;
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const user = line.slice(0, colon);
    if (!users.has(user)) users.set(user, /^[^:\r]*/.exec(line.slice(colon + 1))![0]);
  }
  return users;
}
