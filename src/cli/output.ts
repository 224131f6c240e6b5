/** What a command writes to its standard output: all of it, into pipes too, however slowly they are read. */

let used = false;

export function write(text: string, encoding: BufferEncoding = 'utf8'): void {
  // A reader that has seen enough (`| head`) is no fault of ours.
  if (!used) process.stdout.on('error', () => {});
  used = true;
  process.stdout.write(text, encoding);
}

/** Ends the process once everything is written. */
export function finish(code: number): void {
  if (!used || process.stdout.writableLength === 0) process.exit(code);
  process.stdout.once('error', () => process.exit(code));
  process.stdout.write('', () => process.exit(code));
}
