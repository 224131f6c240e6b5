/**
 * The Node proxies: one process each, a keep-alive agent, round robin. Their packages are in bench/package.json and are
 * installed there when first needed, so that the project's own installation stays small.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Proxy, Setup } from './types.ts';

const bench = join(import.meta.dirname, '..');

const packages = ['http-proxy-3', 'fast-proxy', '@fastify/http-proxy'];

export const nodeProxies: readonly Proxy[] = packages.map((name) => ({
  name,
  kind: 'node',
  install: 'npm install --prefix bench',
  measureStart: false,
  version: () => installed(name),
  prepare: (setup) => ({
    file: process.execPath,
    args: [join(import.meta.dirname, 'servers', `${name.replace(/^@/, '').replace('/', '-')}.ts`), writeSetup(setup)],
    env: { NODE_ENV: 'production' },
  }),
}));

function installed(name: string): string | undefined {
  try {
    const text = readFileSync(join(bench, 'node_modules', name, 'package.json'), 'utf8');
    return (JSON.parse(text) as { version: string }).version;
  } catch {
    return undefined;
  }
}

/** Installs what is missing of these proxies. A failure is no error: they are left out then. */
export function installNodeProxies(wanted: readonly Proxy[]): void {
  if (!wanted.some((proxy) => proxy.kind === 'node' && !proxy.version())) return;
  console.log('installing the Node proxies into bench/node_modules');
  // Options that npm hands down to its scripts (this may be one) would reach the inner npm, too.
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('npm_config_prefix')));
  spawnSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: bench, env, stdio: 'inherit' });
}

/** The setup as a file: 10,000 servers are too much for an argument. */
function writeSetup(setup: Setup): string {
  const file = join(setup.directory, 'setup.json');
  writeFileSync(file, JSON.stringify(setup));
  return file;
}
