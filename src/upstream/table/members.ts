/** Who is in a group, for those who look after it from the main thread. */
import { BACKUP, H, PRIMARY, Table } from './layout.ts';
import { locked, readList } from './lists.ts';
import { type PeerInfo, readInfo } from './text.ts';

export interface Member extends PeerInfo {
  backup: boolean;
  /** Bits of `Table.down`. */
  down: number;
  /** Same server, same address, same place among equals: what tells peers apart over tables. */
  identity: string;
}

/** All live peers, primaries first. */
export function members(buffer: SharedArrayBuffer): Member[] {
  const t = new Table(buffer);
  return locked(t, () => {
    const seen = new Map<string, number>();
    return [PRIMARY, BACKUP].flatMap((list) =>
      readList(t, list).map((slot) => {
        const info = readInfo(t, slot);
        const name = `${info.server}\0${info.address}`;
        const nth = seen.get(name) ?? 0;
        seen.set(name, nth + 1);
        return { ...info, backup: list === BACKUP, down: t.down[slot]!, identity: `${name}\0${nth}` };
      }),
    );
  });
}

/** A view of what `tableVersion` reads: for those who ask again and again. */
export function tableHead(buffer: SharedArrayBuffer): Int32Array {
  return new Int32Array(buffer, 0, H.words);
}

/** How many changes of groups this thread has made: as long as it stays, nobody has come or gone. */
export { edits as tableEdits } from './lists.ts';

/** Changes with every change of a group. */
export function tableVersion(head: Int32Array): number {
  return Atomics.load(head, H.version);
}
