/** From networks or ranges, as `geo` lists them, to tables that can be searched (`GeoTable`). Pure. */
import type { GeoTable } from './model-variables.ts';

/** Networks of one family, by first address and number of bits. Inner ones win over outer ones. */
export class NetworkTable {
  readonly #width: 32 | 128;
  readonly #networks = new Map<string, { start: bigint; bits: number; value: number }>();

  constructor(width: 32 | 128) {
    this.#width = width;
  }

  /** @returns the value that was replaced, or null */
  add(bytes: readonly number[], bits: number, value: number): number | null {
    const key = `${bytes.join('.')}/${bits}`;
    const old = this.#networks.get(key);
    this.#networks.set(key, { start: toNumber(bytes), bits, value });
    return old === undefined ? null : old.value;
  }

  /** @returns false: there is no such network */
  delete(bytes: readonly number[], bits: number): boolean {
    return this.#networks.delete(`${bytes.join('.')}/${bits}`);
  }

  /** @param outside value of addresses in no network */
  finish(outside: number): GeoTable {
    const width = this.#width;
    const networks = [...this.#networks.values()].sort((a, b) =>
      a.start === b.start ? a.bits - b.bits : a.start < b.start ? -1 : 1,
    );
    const table = new Stretches(width);
    table.begin(0n, outside);
    const around: { end: bigint; value: number }[] = [];
    const close = (before: bigint): void => {
      for (let inner = around.at(-1); inner !== undefined && inner.end < before; inner = around.at(-1)) {
        around.pop();
        table.begin(inner.end + 1n, around.at(-1)?.value ?? outside);
      }
    };
    for (const { start, bits, value } of networks) {
      close(start);
      table.begin(start, value);
      around.push({ end: start + (1n << BigInt(width - bits)) - 1n, value });
    }
    close(1n << BigInt(width));
    return table.result;
  }
}

function toNumber(bytes: readonly number[]): bigint {
  let number = 0n;
  for (const byte of bytes) number = (number << 8n) | BigInt(byte);
  return number;
}

/** Collects where stretches begin. */
class Stretches {
  readonly result: GeoTable = { starts: [], values: [] };
  readonly #width: 32 | 128;
  #last = -1n;

  constructor(width: 32 | 128) {
    this.#width = width;
  }

  begin(start: bigint, value: number): void {
    const { starts, values } = this.result;
    if (start >> BigInt(this.#width) !== 0n) return;
    const words = this.#width / 32;
    if (start === this.#last) {
      // An inner network begins where the outer one does.
      starts.length -= words;
      values.length--;
    }
    this.#last = start;
    if (values.at(-1) === value) {
      this.#last = -1n;
      return;
    }
    for (let word = words - 1; word >= 0; word--) starts.push(Number((start >> BigInt(word * 32)) & 0xffffffffn));
    values.push(value);
  }
}

// ------------------------------------------------------------------------------------------------ ranges

interface Range {
  start: number;
  end: number;
  value: number;
}

/** What `add` has met. */
export type RangeOutcome =
  | { kind: 'added' }
  | { kind: 'replaced'; value: number }
  | { kind: 'overlaps'; start: number; end: number };

/**
 * Ranges of IPv4 addresses. A later one may be equal to an earlier one, or lie within one, but not lie across its
 * border. As in nginx all this holds for each /16 by itself.
 */
export class RangeTable {
  readonly #blocks = new Map<number, Range[]>();

  add(start: number, end: number, value: number): RangeOutcome {
    let outcome: RangeOutcome = { kind: 'added' };
    for (const [block, from, to] of blocksOf(start, end)) {
      const ranges = this.#block(block);
      const found = insert(ranges, from, to, value);
      if (found.kind === 'overlaps') {
        return { kind: 'overlaps', start: block * 65536 + found.start, end: block * 65536 + found.end };
      }
      if (found.kind === 'replaced') outcome = found;
    }
    return outcome;
  }

  /** @returns false: there is no such range, in whole or in part */
  delete(start: number, end: number): boolean {
    let all = true;
    for (const [block, from, to] of blocksOf(start, end)) {
      const ranges = this.#block(block);
      const i = ranges.findIndex((range) => range.start === from && range.end === to);
      if (i < 0) all = false;
      else ranges.splice(i, 1);
    }
    return all;
  }

  #block(block: number): Range[] {
    let ranges = this.#blocks.get(block);
    if (ranges === undefined) this.#blocks.set(block, (ranges = []));
    return ranges;
  }

  /** @param outside value of addresses in no range */
  finish(outside: number): GeoTable {
    const table: GeoTable = { starts: [0], values: [outside] };
    const begin = (start: number, value: number): void => {
      if (start > 0xffffffff) return;
      if (table.starts.at(-1) === start) table.values[table.values.length - 1] = value;
      else if (table.values.at(-1) !== value) {
        table.starts.push(start);
        table.values.push(value);
      }
    };
    for (const [block, ranges] of [...this.#blocks].sort(([a], [b]) => a - b)) {
      for (const { start, end, value } of ranges) {
        begin(block * 65536 + start, value);
        begin(block * 65536 + end + 1, outside);
      }
    }
    return table;
  }
}

function* blocksOf(start: number, end: number): Iterable<[block: number, from: number, to: number]> {
  const last = Math.floor(end / 65536);
  for (let block = Math.floor(start / 65536); block <= last; block++) {
    const base = block * 65536;
    yield [block, Math.max(start, base) - base, Math.min(end, base + 65535) - base];
  }
}

/** Ranges are in order and apart from each other. New ones usually come last. */
function insert(ranges: Range[], start: number, end: number, value: number): RangeOutcome {
  let i = ranges.length - 1;
  while (i >= 0 && end < ranges[i]!.start) i--;
  const added = { start, end, value };
  const old = i < 0 ? undefined : ranges[i]!;
  if (old === undefined || start > old.end) {
    ranges.splice(i + 1, 0, added);
    return { kind: 'added' };
  }
  if (start === old.start && end === old.end) {
    ranges[i] = added;
    return { kind: 'replaced', value: old.value };
  }
  if (start < old.start || end > old.end) return { kind: 'overlaps', start: old.start, end: old.end };
  const around: Range[] = [];
  if (start > old.start) around.push({ ...old, end: start - 1 });
  around.push(added);
  if (end < old.end) around.push({ ...old, start: end + 1 });
  ranges.splice(i, 1, ...around);
  return { kind: 'added' };
}
