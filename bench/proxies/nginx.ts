/** nginx, one worker. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { versionOf } from '../lib/version.ts';
import { writeNginxConf } from './nginx-conf.ts';
import type { Proxy } from './types.ts';

/** What has to be said so that it knows `stream`, which distributions pack as a module of its own. */
function streamModule(): string[] {
  const { stderr } = spawnSync('nginx', ['-V'], { encoding: 'utf8' });
  const directory = /--modules-path=(\S+)/.exec(stderr)?.[1];
  if (!stderr.includes('--with-stream=dynamic') || directory === undefined) return [];
  const file = join(directory, 'ngx_stream_module.so');
  return existsSync(file) ? ['-g', `load_module ${file};`] : [];
}

export const nginx: Proxy = {
  name: 'nginx',
  kind: 'native',
  install: 'apt install nginx',
  measureStart: true,
  speaks: ['http2', 'grpc', 'tcp', 'udp'],
  version: () => versionOf('nginx', ['-v'], /nginx\/(\S+)/),
  prepare: (setup) => ({
    file: 'nginx',
    // -e: the compiled-in error log, opened before the configuration is read, needs not be writable.
    args: [
      '-e',
      'stderr',
      '-p',
      setup.directory,
      '-c',
      writeNginxConf(setup),
      ...(setup.protocol === 'tcp' || setup.protocol === 'udp' ? streamModule() : []),
    ],
  }),
};
