/** Writes versions of a state file without end, until it is killed: `node state-writer.ts PATH`. */
import { StateFile } from '../../src/control/state-file.ts';

const file = new StateFile(process.argv[2]!);
const first = Math.floor(Math.random() * 10_000);
for (let version = first; ; version++) {
  const lines = Array.from({ length: 1 + (version % 40) }, (_, i) => `server 10.0.${version % 250}.${i}:80;\n`);
  // what stands at the end tells whether it is whole
  await file.write(`${lines.join('')}# ${lines.length}\n`);
  if (version === first) process.stdout.write('ready\n');
}
