/** Where the program is that speaks QUIC: of the optional package `deno`. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Packages with the binaries, by platform and processor as Node names them. */
const TARGETS: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64-glibc',
  'linux-arm64': 'linux-arm64-glibc',
  'darwin-x64': 'darwin-x64',
  'darwin-arm64': 'darwin-arm64',
};

export const QUIC_MISSING = 'QUIC needs the optional package "deno": npm install deno';

/** Path of the binary. @throws {Error} with QUIC_MISSING, or that there is none for this machine */
export function findQuicBinary(): string {
  const target = TARGETS[`${process.platform}-${process.arch}`];
  if (target === undefined)
    throw new Error(`QUIC: the package "deno" has no binary for ${process.platform}-${process.arch}`);
  try {
    const require = createRequire(import.meta.url);
    const inPackage = createRequire(require.resolve('deno/package.json'));
    const binary = join(dirname(inPackage.resolve(`@deno/${target}/package.json`)), 'deno');
    if (existsSync(binary)) return binary;
  } catch {
    // Not installed.
  }
  throw new Error(QUIC_MISSING);
}

/** Whether this machine can speak QUIC as it is. */
export function hasQuic(): boolean {
  try {
    findQuicBinary();
    return true;
  } catch {
    return false;
  }
}
