/** What the benchmark has to know of a proxy: one entry each. */
import type { Command } from '../lib/proc.ts';
import type { Protocol } from '../lib/scenarios.ts';

/** What a proxy is to do in one run; every proxy gets the same. */
export type Setup = {
  /** An empty directory of its own for configuration and whatever it writes. */
  readonly directory: string;
  /** The port on 127.0.0.1 to listen on. */
  readonly port: number;
  /** TLS towards the client: files in PEM form; undefined for plain HTTP. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  /** The group, `host:port` each. */
  readonly servers: readonly string[];
  readonly protocol: Protocol;
};

export type Proxy = {
  /** The name in options and results. */
  readonly name: string;
  /** Native proxies are the yardstick, the Node ones the neighbours. */
  readonly kind: 'headrace' | 'native' | 'node';
  /** How to get it, for the line that says it was left out. */
  readonly install: string;
  /** Whether its time from start to first answer is measured. */
  readonly measureStart: boolean;
  /** What it can speak besides `http`; missing: nothing. */
  readonly speaks?: readonly Protocol[];
  /** Its version, or undefined when it is not installed. */
  version(): string | undefined;
  /** Writes its configuration into the directory and says how to start it in the foreground. */
  prepare(setup: Setup): Command;
};
