/** Headrace, from this working copy, with the file that nginx gets. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeNginxConf } from './nginx-conf.ts';
import type { Proxy } from './types.ts';

const root = join(import.meta.dirname, '../..');
const executable = join(root, 'bin/headrace');

export const headrace: Proxy = {
  name: 'headrace',
  kind: 'headrace',
  install: 'bin/headrace is missing in this working copy',
  measureStart: true,
  speaks: ['http2', 'grpc', 'tcp', 'udp'],
  version: () => {
    if (!existsSync(executable)) return undefined;
    return (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;
  },
  prepare: (setup) => ({ file: executable, args: ['-p', setup.directory, '-c', writeNginxConf(setup)] }),
};
