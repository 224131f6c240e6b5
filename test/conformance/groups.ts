/**
 * Which file of nginx-tests belongs to which group: `groups.tsv`, facts about the files of the public test suite
 * (group, file, planned assertions, features it asks for, what else it needs).
 */
import { readFileSync } from 'node:fs';

export interface TestFile {
  group: string;
  file: string;
  /** Planned assertions, as the table says them; the harness itself adds two. */
  assertions: number;
}

export function loadGroups(table = new URL('groups.tsv', import.meta.url)): TestFile[] {
  const [, ...lines] = readFileSync(table, 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [group = '', file = '', assertions = ''] = line.split('\t');
    return { group, file, assertions: Number.parseInt(assertions, 10) || 0 };
  });
}

/**
 * @param names group names (`A1`, or `A` for all that begin so), files (`upstream.t`, with or without `.t`)
 * @param known the table
 * @returns the files, each once, in the order in which they were asked for
 * @throws Error naming what is neither
 */
export function select(names: readonly string[], known: readonly TestFile[]): TestFile[] {
  const chosen = new Map<string, TestFile>();
  for (const name of names) {
    const file = name.endsWith('.t') ? name : `${name}.t`;
    let found = known.filter((test) => test.file === file);
    if (found.length === 0) found = known.filter((test) => test.group === name);
    if (found.length === 0 && /^[A-Z]$/.test(name)) found = known.filter((test) => test.group.startsWith(name));
    // A file that is newer than the table.
    if (found.length === 0 && name.endsWith('.t')) found = [{ group: '?', file, assertions: 0 }];
    if (found.length === 0) {
      const groups = [...new Set(known.map((test) => test.group))].join(' ');
      throw new Error(`"${name}" is neither a group (${groups}) nor a file (….t)`);
    }
    for (const test of found) chosen.set(test.file, test);
  }
  return [...chosen.values()];
}
