/**
 * Files of `state`: what run-time changes have made of a group (its servers, one `server …;` a line, as NGINX Plus writes it),
 * or of a keyval zone (`keyvals.ts`). Written whole each time: a temporary file, fsync, rename, fsync of the directory.
 * Whatever dies when, there is the old file or the new one.
 */
import { open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A server as the file has it; what is at its default is not written. */
export interface StateServer {
  server: string;
  weight: number;
  maxConns: number;
  maxFails: number;
  failTimeoutSec: number;
  slowStartMs: number;
  route: string | null;
  backup: boolean;
  down: boolean;
  drain: boolean;
  resolve: boolean;
  service: string | null;
}

export function stateText(servers: readonly StateServer[]): string {
  return servers.map((server) => `server ${parameters(server).join(' ')};\n`).join('');
}

function parameters(s: StateServer): string[] {
  const parts = [word(s.server)];
  if (s.weight !== 1) parts.push(`weight=${s.weight}`);
  if (s.maxConns !== 0) parts.push(`max_conns=${s.maxConns}`);
  if (s.maxFails !== 1) parts.push(`max_fails=${s.maxFails}`);
  if (s.failTimeoutSec !== 10) parts.push(`fail_timeout=${s.failTimeoutSec}s`);
  if (s.slowStartMs !== 0) parts.push(`slow_start=${s.slowStartMs}ms`);
  if (s.route !== null) parts.push(word(`route=${s.route}`));
  if (s.service !== null) parts.push(word(`service=${s.service}`));
  if (s.resolve) parts.push('resolve');
  if (s.backup) parts.push('backup');
  if (s.down) parts.push('down');
  if (s.drain) parts.push('drain');
  return parts;
}

/** A word of the configuration language, quoted if it must be. */
function word(text: string): string {
  return /^[^\s;{}"'\\$#]+$/.test(text) ? text : `"${text.replace(/(["\\])/g, '\\$1')}"`;
}

/** Writes one file, one version after another; versions that nobody waits for any more are left out. */
export class StateFile {
  readonly path: string;
  #text: () => string | Promise<string> = () => '';
  #next: Promise<void> | null = null;
  #writing: Promise<void> | null = null;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * @param text or what makes it, asked when it is about to be written
   * @returns when this text, or a later one, is on the disk. @throws what the file system throws; the old file stays
   */
  write(text: string | (() => string | Promise<string>)): Promise<void> {
    this.#text = typeof text === 'string' ? () => text : text;
    this.#next ??= this.#afterPresent();
    return this.#next;
  }

  async #afterPresent(): Promise<void> {
    // whoever waits for the present write is told of its failure; it is not ours
    await this.#writing?.catch(() => {});
    this.#writing = this.#next;
    this.#next = null;
    await replaceFile(this.path, await this.#text());
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, 'w', 0o644);
    try {
      await file.writeFile(text, 'latin1');
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => {});
    throw error;
  }
  const directory = await open(dirname(path), 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
