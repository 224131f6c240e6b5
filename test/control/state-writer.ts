/**
 * Writes versions of many state files without end, until it is killed: `node state-writer.ts PATH COUNT` (PATH.0, PATH.1, …).
 * Each has a writer of its own, at a moment of its own: one kill is a kill for each.
 */
import { StateFile } from '../../src/control/state-file.ts';

const [path, count] = process.argv.slice(2);
const files = Array.from({ length: Number(count) }, (_, i) => new StateFile(`${path}.${i}`));

function text(version: number): string {
  const lines = Array.from({ length: 1 + (version % 40) }, (_, i) => `server 10.0.${version % 250}.${i}:80;\n`);
  // what stands at the end tells whether it is whole
  return `${lines.join('')}# ${lines.length}\n`;
}

async function writeOn(file: StateFile, version: number): Promise<never> {
  for (;;) await file.write(text(version++));
}

const first = Math.floor(Math.random() * 10_000);
await Promise.all(files.map((file) => file.write(text(first))));
process.stdout.write('ready\n');
for (const [i, file] of files.entries()) void writeOn(file, first + i);
