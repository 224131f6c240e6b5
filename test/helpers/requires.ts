/**
 * What a test needs beyond Node: a program, or the superuser. On a machine without it the test is skipped and says why;
 * in CI (`CI=true`), which installs everything, its absence is a failure, so that no test is lost unnoticed.
 *
 * ```ts
 * test('as nginx does', async (t) => {
 *   const nginx = requires(t, 'nginx');
 *   if (nginx === null) return;
 *   …
 * });
 * ```
 */
import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/** Daemons are installed here, and are not on every user's PATH. */
const SBIN = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The Debian package of a program, where it is not of the same name. */
const PACKAGES: Readonly<Record<string, string>> = {
  h2load: 'nghttp2-client',
  memcached: 'memcached',
  postgres: 'postgresql',
  initdb: 'postgresql',
  'php-fpm8.2': 'php8.2-fpm',
  uwsgi: 'uwsgi-core',
};

/** Debian keeps PostgreSQL's programs apart, by version. */
const POSTGRESQL = '/usr/lib/postgresql';

function postgresDirectories(): string[] {
  try {
    const versions = readdirSync(POSTGRESQL).sort((a, b) => Number(b) - Number(a));
    return versions.map((version) => join(POSTGRESQL, version, 'bin'));
  } catch {
    return [];
  }
}

/** Full path of a program, or null. */
export function findProgram(name: string): string | null {
  for (const dir of [...(process.env.PATH ?? '').split(delimiter), ...SBIN, ...postgresDirectories()]) {
    if (dir === '') continue;
    const file = join(dir, name);
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {
      // Not here.
    }
  }
  return null;
}

/** True where everything must be there: `CI` is set, to anything but a no. */
export function inCi(): boolean {
  return !['', '0', 'false', 'no'].includes((process.env.CI ?? '').toLowerCase());
}

/** Skips the test with the reason, or fails it in CI. */
function lacks(t: TestContext, reason: string): void {
  if (inCi()) throw new Error(`${reason}; CI must have it`);
  t.skip(reason);
}

/**
 * @param name a program, looked for on PATH and where daemons live
 * @returns its full path; null: the test is skipped, return from it
 * @throws in CI, when it is not there
 */
export function requires(t: TestContext, name: string): string | null {
  const file = findProgram(name);
  if (file === null) lacks(t, `${name} is not installed (Debian: apt-get install ${PACKAGES[name] ?? name})`);
  return file;
}

/**
 * For what else may be missing on a machine: IPv6, the superuser, an operating system.
 *
 * @param there whether it is there
 * @param what for "needs …"
 * @returns `there`; false: the test is skipped, return from it
 * @throws in CI, when it is not there
 */
export function requiresThat(t: TestContext, there: boolean, what: string): boolean {
  if (!there) lacks(t, `needs ${what}`);
  return there;
}
