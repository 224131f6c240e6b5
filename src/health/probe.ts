/**
 * What a check asks a server, whatever the protocol. To add a kind (tcp, udp, a Kong check): a file that implements
 * `ProbeKind`; schedule, counting, states, logs and counters are the monitor's.
 */

/** Whom to ask. `port` is the check's own, if it has one. */
export interface ProbeTarget {
  /** As logs show it: `127.0.0.1:80`. */
  readonly address: string;
  readonly family: 4 | 6 | 'unix';
  /** Address without brackets, or a path. */
  readonly host: string;
  readonly port: number;
  /** The server line as written. */
  readonly server: string;
}

export interface ProbeOutcome {
  passed: boolean;
  /** What was done last, as nginx's log has it: `connecting to upstream`, `checking status code`. */
  stage: string;
  /** Why it failed, for a log line of its own: `connect() failed (111: Connection refused) while …`; null: none. */
  error: string | null;
  /** How long the answer took; absent: it was not measured. */
  ms?: number;
}

/** One check of one server. */
export interface Probe {
  /**
   * Asks once. `report` is called exactly once, later or during the call, unless the probe is closed before. Never called
   * while one is under way. Every wait inside has an end.
   */
  run(report: (outcome: ProbeOutcome) => void): void;
  /** Gives up what is under way, and every connection that is kept. */
  close(): void;
}

export interface ProbeKind {
  /** Makes the probe of a server; it may keep a connection from one run to the next. */
  open(target: ProbeTarget): Probe;
}
