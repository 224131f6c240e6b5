/**
 * What one loading shares over all of its blocks: files read, warnings, zones, names to resolve, the environment.
 */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { decodeText, encodeText, fsPath } from '../bytes.ts';
import { at } from '../errors.ts';
import type { Diagnostic, ConfigError } from '../errors.ts';
import type { LogLevel, PeerAddress, Place } from '../model.ts';
import { expandGlob } from './glob.ts';
import { peerAddress } from '../address.ts';
import { Slots } from './scope.ts';

/** An address that a name has; port and text are filled in by the one who asked. */
export type LookupAddress = Pick<PeerAddress, 'host' | 'family'>;

/** Host name -> addresses in order of preference; empty or an error: `host not found`. */
export type Lookup = (host: string) => readonly LookupAddress[] | Promise<readonly LookupAddress[]>;

export interface CycleOptions {
  prefix: string;
  file: string;
  cpuCount: number;
  errorLogOverride?: string;
  /** May ports below 1024 be bound, do `user` and the default port 80 make sense. */
  superUser: boolean;
  lookup: Lookup;
  /** Path -> contents as a byte string. Throws as `fs.readFileSync` does. */
  readFile?: (path: string) => string;
  /** Absolute pattern -> sorted absolute paths. */
  glob?: (pattern: string) => string[];
  /** Certificates and the like of the configuration that runs. */
  objects?: ReadonlyMap<string, FileObject>;
}

/** Contents of a file that may outlive a configuration. */
export interface FileObject {
  /** Another one once the file was replaced or written; empty: unknown. */
  version: string;
  text: string;
}

/** Filled once names are resolved, after parsing. */
export interface AddressBox {
  addresses: PeerAddress[];
}

interface PendingLookup {
  host: string;
  port: number;
  box: AddressBox;
  place: Place | null;
  failure: (error: string) => ConfigError;
}

interface SharedZone {
  name: string;
  size: number;
  tag: string;
}

const ERRNO: Record<string, string> = {
  ENOENT: '2: No such file or directory',
  EACCES: '13: Permission denied',
  ENOTDIR: '20: Not a directory',
  EISDIR: '21: Is a directory',
  EMFILE: '24: Too many open files',
  ELOOP: '40: Too many levels of symbolic links',
};

/** `2: No such file or directory`: an error of node:fs as nginx shows it. */
export function errnoText(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return ERRNO[code] ?? (code === '' ? String(error) : code);
}

function fileVersion(file: string): string {
  const stat = statSync(fsPath(file), { throwIfNoEntry: false });
  return stat === undefined || !stat.isFile() ? '' : `${stat.dev}:${stat.ino}:${Math.floor(stat.mtimeMs / 1000)}`;
}

export class Cycle {
  readonly options: CycleOptions;
  /** Absolute, with a trailing slash. */
  readonly prefix: string;
  /** Directory of the main configuration file: what `include` and certificates are relative to. */
  readonly confPrefix: string;
  readonly warnings: Diagnostic[] = [];
  readonly sources: { file: string; text: string }[] = [];
  /** Raw objects of the modules outside of `http`. */
  readonly core = new Slots();
  readonly zones = new Map<string, SharedZone>();
  readonly objects = new Map<string, FileObject>();
  /** `ssl_object_cache_inheritable`. */
  inheritsObjects = true;
  private readonly pending: PendingLookup[] = [];

  constructor(options: CycleOptions) {
    this.options = options;
    this.prefix = options.prefix.endsWith('/') ? options.prefix : `${options.prefix}/`;
    this.confPrefix = `${path.dirname(options.file)}/`;
  }

  /** Path as nginx completes it; byte strings in, byte strings out. */
  fullName(name: string, base: 'prefix' | 'conf' = 'prefix'): string {
    if (name.startsWith('/')) return name;
    return encodeText(base === 'conf' ? this.confPrefix : this.prefix) + name;
  }

  /** @throws what `fs.readFileSync` throws */
  readFile(file: string): string {
    const { readFile } = this.options;
    return readFile === undefined ? readFileSync(fsPath(file), 'latin1') : readFile(decodeText(file));
  }

  /**
   * A certificate, key or the like: read once, however many servers name it. `ssl_object_cache_inheritable on`: one that
   * the configuration before has read, and that is still the same file of the same time, is not read again.
   * @throws what `fs.readFileSync` throws
   */
  readObject(file: string): string {
    const known = this.objects.get(file);
    if (known !== undefined) return known.text;
    const version = this.options.readFile === undefined ? fileVersion(file) : '';
    const inherited = version === '' || !this.inheritsObjects ? undefined : this.options.objects?.get(file);
    const object =
      inherited !== undefined && inherited.version === version ? inherited : { version, text: this.readFile(file) };
    this.objects.set(file, object);
    return object.text;
  }

  glob(pattern: string): string[] {
    const { glob } = this.options;
    return glob === undefined ? expandGlob(pattern) : glob(decodeText(pattern)).map(encodeText);
  }

  warn(
    text: string,
    place: Place | null = null,
    level: LogLevel = 'warn',
    suffix = place === null ? '' : at(place),
  ): void {
    this.warnings.push({ level, message: decodeText(text) + suffix, place });
  }

  /** Asks for the addresses of a name. They are there once `resolveNames` has ended. */
  resolveLater(host: string, port: number, place: Place | null, failure: (error: string) => ConfigError): AddressBox {
    const box: AddressBox = { addresses: [] };
    this.pending.push({ host, port, box, place, failure });
    return box;
  }

  /** @throws {ConfigError} of the first name, in order of the file, that has no address */
  async resolveNames(): Promise<void> {
    const { lookup } = this.options;
    const answers = new Map<string, Promise<readonly LookupAddress[]>>();
    const ask = async (host: string): Promise<readonly LookupAddress[]> => {
      try {
        return await lookup(host);
      } catch {
        return [];
      }
    };
    for (const { host } of this.pending) {
      const key = decodeText(host).toLowerCase();
      if (!answers.has(key)) answers.set(key, ask(decodeText(host)));
    }
    for (const { host, port, box, failure } of this.pending.splice(0)) {
      const found = (await answers.get(decodeText(host).toLowerCase())) ?? [];
      if (found.length === 0) throw failure('host not found');
      box.addresses = found.map((address) => peerAddress(address.family === 6 ? 'inet6' : 'inet', address.host, port));
    }
  }

  /**
   * Declares shared memory, as several directives may with one name.
   *
   * @param size bytes; 0: the size is given elsewhere
   * @returns nginx's text of a conflict, or null
   */
  addZone(name: string, size: number, tag: string): string | null {
    const zone = this.zones.get(name);
    if (zone === undefined) {
      this.zones.set(name, { name, size, tag });
      return null;
    }
    if (zone.tag !== tag) return `the shared memory zone "${name}" is already declared for a different use`;
    if (zone.size === 0) zone.size = size;
    if (size !== 0 && size !== zone.size) {
      return `the size ${size} of shared memory zone "${name}" conflicts with already declared size ${zone.size}`;
    }
    return null;
  }
}
