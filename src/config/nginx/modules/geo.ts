/** `geo [$address] $variable { … }`. */
import { parseCidr, parseIpv4, parseIpv6 } from '../../address.ts';
import { NetworkTable, RangeTable } from '../../geo-table.ts';
import type { GeoConfig } from '../../model-variables.ts';
import { Args, Context } from '../context.ts';
import { directive } from '../directive.ts';
import type { ModuleDef } from '../module.ts';
import type { Conf } from '../parser.ts';
import { slot } from '../scope.ts';
import { defineVariable, useVariable } from '../variables.ts';

/** Geos of one protocol block; a slot of its main level. */
export const geosSlot = slot<{ geos: GeoConfig[] }>('geo', () => ({ geos: [] }));

class Block {
  ranges: RangeTable | null = null;
  readonly v4 = new NetworkTable(32);
  readonly v6 = new NetworkTable(128);
  readonly texts: string[] = [''];
  default = 0;
  hasDefault = false;
  /** Something other than a parameter was read. */
  begun = false;
  volatile = false;
  readonly proxies: string[] = [];
  proxyRecursive = false;
  readonly #indexes = new Map<string, number>([['', 0]]);

  indexOf(text: string): number {
    let index = this.#indexes.get(text);
    if (index === undefined) {
      index = this.texts.push(text) - 1;
      this.#indexes.set(text, index);
    }
    return index;
  }
}

/** Reads the `geo` at hand. @throws {ConfigError} */
export function geo(cf: Conf): void {
  const names = cf.args.slice(1).map((arg) => {
    if (!arg.startsWith('$')) throw cf.error(`invalid variable name "${arg}"`);
    return arg.slice(1);
  });
  const source = names.length === 2 ? useVariable(cf, names[0] as string) : null;
  const variable = defineVariable(cf, names[names.length - 1] as string);
  const block = new Block();
  const { geos } = cf.scope.main.get(geosSlot);
  cf.lines((line) => entry(line, block));
  geos.push({
    variable,
    source,
    volatile: block.volatile,
    proxies: block.proxies,
    proxyRecursive: block.proxyRecursive,
    texts: block.texts,
    v4: block.ranges === null ? block.v4.finish(block.default) : block.ranges.finish(block.default),
    v6: block.v6.finish(block.default),
  });
}

function entry(cf: Conf, block: Block): void {
  const { args } = cf;
  const [key = '', text = ''] = args;
  if (args.length === 1) {
    if (key === 'ranges') {
      if (block.begun) throw cf.error('the "ranges" directive must be the first directive inside "geo" block');
      block.ranges ??= new RangeTable();
      return;
    }
    if (key === 'proxy_recursive' || key === 'volatile') {
      if (key === 'volatile') block.volatile = true;
      else block.proxyRecursive = true;
      return;
    }
  }
  if (args.length !== 2) throw cf.error('invalid number of the geo parameters');
  if (key === 'include') {
    cf.include();
    return;
  }
  if (key === 'proxy') {
    block.proxies.push(network(cf, text).text);
    return;
  }
  block.begun = true;
  if (key === 'default') setDefault(cf, block, text);
  else if (block.ranges === null) networkEntry(cf, block, key, text);
  else rangeEntry(cf, block, block.ranges, key, text);
}

function setDefault(cf: Conf, block: Block, text: string): void {
  if (block.hasDefault) {
    const old = block.texts[block.default];
    cf.warn(
      block.ranges === null
        ? `duplicate network "default", value: "${text}", old value: "${old}"`
        : `duplicate default geo range value: "${text}", old value: "${old}"`,
    );
  }
  block.hasDefault = true;
  block.default = block.indexOf(text);
}

/** First address and number of bits. @throws {ConfigError} `invalid network …` */
function network(cf: Conf, text: string): { text: string; bytes: number[]; bits: number } {
  // This one address is no valid one elsewhere: here it stands for "no address".
  if (text === NO_ADDRESS) return { text: `${NO_ADDRESS}/32`, bytes: [255, 255, 255, 255], bits: 32 };
  const cidr = parseCidr(text);
  if (cidr === null) throw cf.error(`invalid network "${text}"`);
  if (cidr.meaningless) cf.warn(`low address bits of ${text} are meaningless`);
  const [address = '', bits] = cidr.text.split('/');
  return { text: cidr.text, bytes: (parseIpv4(address) ?? parseIpv6(address)) as number[], bits: Number(bits) };
}

const NO_ADDRESS = '255.255.255.255';

function networkEntry(cf: Conf, block: Block, key: string, text: string): void {
  const name = key === 'delete' ? text : key;
  const { bytes, bits } = network(cf, name);
  const table = bytes.length === 4 ? block.v4 : block.v6;
  if (key === 'delete') {
    if (!table.delete(bytes, bits)) cf.warn(`no network "${text}" to delete`);
    return;
  }
  const old = table.add(bytes, bits, block.indexOf(text));
  if (old !== null) cf.warn(`duplicate network "${name}", value: "${text}", old value: "${block.texts[old]}"`);
}

function rangeEntry(cf: Conf, block: Block, ranges: RangeTable, key: string, text: string): void {
  const name = key === 'delete' ? text : key;
  const [start, end, ...rest] = name.split('-').map((part) => number(part));
  if (start === undefined || start < 0 || end === undefined || end < 0 || rest.length > 0 || start > end) {
    throw cf.error(`invalid range "${name}"`);
  }
  if (key === 'delete') {
    if (!ranges.delete(start, end)) cf.warn(`no address range "${name}" to delete`);
    return;
  }
  const outcome = ranges.add(start, end, block.indexOf(text));
  if (outcome.kind === 'replaced') {
    cf.warn(`duplicate range "${name}", value: "${text}", old value: "${block.texts[outcome.value]}"`);
  } else if (outcome.kind === 'overlaps') {
    throw cf.error(`range "${name}" overlaps "${dotted(outcome.start)}-${dotted(outcome.end)}"`);
  }
}

/** -1: not an IPv4 address. */
function number(text: string): number {
  const bytes = parseIpv4(text);
  return bytes === null ? -1 : bytes.reduce((sum, byte) => sum * 256 + byte, 0);
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

export const geoModule: ModuleDef = {
  name: 'geo',
  directives: [directive('geo', Context.http | Context.stream, Args.oneOrTwo, geo, true)],
  http: (build) => ({ geos: build.block.main.get(geosSlot).geos }),
  stream: (build) => ({ geos: build.block.main.get(geosSlot).geos }),
};
