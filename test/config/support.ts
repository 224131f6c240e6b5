/** Loading configurations that exist only in a test. */
import { ConfigError, loadNginxConfig } from '../../src/config/nginx/load.ts';
import type { LoadOptions, LoadResult } from '../../src/config/nginx/load.ts';

export const FILE = '/t/conf/nginx.conf';

/** Names that resolve in tests; all others do not. */
export const HOSTS: Record<string, { host: string; family: 4 | 6 }[]> = {
  localhost: [{ host: '127.0.0.1', family: 4 }],
  'two.test': [
    { host: '192.0.2.1', family: 4 },
    { host: '2001:db8::1', family: 6 },
  ],
};

function missing(file: string): Error {
  return Object.assign(new Error(`ENOENT: ${file}`), { code: 'ENOENT' });
}

/** @param files more files by absolute path; the main one is `FILE` */
export function load(
  text: string,
  files: Record<string, string> = {},
  options: Partial<LoadOptions> = {},
): Promise<LoadResult> {
  const all: Record<string, string> = { ...files, [FILE]: text };
  return loadNginxConfig({
    prefix: '/t',
    file: 'conf/nginx.conf',
    cpuCount: 4,
    superUser: true,
    lookup: (host) => HOSTS[host] ?? [],
    readFile: (file) => {
      const found = all[file];
      if (found === undefined) throw missing(file);
      return found;
    },
    glob: (pattern) => {
      const source = pattern.replace(/[.+^${}()|\\]/g, '\\$&').replace(/\*/g, '[^/]*');
      return Object.keys(all)
        .filter((file) => new RegExp(`^${source}$`).test(file))
        .sort();
    },
    ...options,
  });
}

/** The error of a configuration that must not load. */
export async function refusal(text: string, files?: Record<string, string>, options?: Partial<LoadOptions>) {
  try {
    await load(text, files, options);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error(`loaded, but should not: ${text}`);
}

export const inHttp = (text: string): string => `events {}\nhttp {\n${text}\n}\n`;
export const inServer = (text: string): string => inHttp(`server { listen 127.0.0.1:8099;\n${text}\n}`);
export const inLocation = (text: string): string => inServer(`location / {\n${text}\n}`);
export const inUpstream = (text: string): string => inHttp(`upstream u {\n${text}\n}`);
