/** nginx, one worker. */
import { versionOf } from '../lib/version.ts';
import { writeNginxConf } from './nginx-conf.ts';
import type { Proxy } from './types.ts';

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
    args: ['-e', 'stderr', '-p', setup.directory, '-c', writeNginxConf(setup)],
  }),
};
