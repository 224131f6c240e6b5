/** The model of health checks: `health_check` and `match`, of http and of stream. */
import type { Place, RegexText } from './model.ts';

/** What all checks have. */
export interface CheckRulesConfig {
  place: Place;
  intervalMs: number;
  /** Each probe is sent up to so much later. */
  jitterMs: number;
  /** Probes in a row that must fail (pass) before the server is unhealthy (healthy again). */
  fails: number;
  passes: number;
  /** Null: the server's own. */
  port: number | null;
  /** Name of a `match`; null: none, which each protocol has its own rule for. */
  match: string | null;
  /** New servers get no requests before they have passed. */
  mandatory: boolean;
  /** Written; states outlive a reload in any case. */
  persistent: boolean;
}

/** `health_check` of a location. Without `match` 2xx and 3xx pass. */
export interface HealthCheckConfig extends CheckRulesConfig {
  uri: string;
  /** How long a connection is used for probes; 0: each has its own. */
  keepaliveTimeMs: number;
  type: 'http' | 'grpc';
  grpcService: string;
  /** Status that counts as healthy; null: `SERVING`. */
  grpcStatus: number | null;
}

/** A `match` block of http; all conditions must hold. */
export interface MatchConfig {
  name: string;
  place: Place;
  /** Ranges include their ends. */
  status: { negate: boolean; ranges: [from: number, to: number][] } | null;
  headers: MatchHeader[];
  body: { negate: boolean; regex: RegexText } | null;
  /** Variables, without `$`, that must be neither empty nor `0`. */
  require: string[];
}

export type MatchHeader =
  | { name: string; test: 'present'; negate: boolean }
  | { name: string; test: 'equal'; negate: boolean; value: string }
  | { name: string; test: 'regex'; negate: boolean; regex: RegexText };

/** `health_check` of a server of stream. Without `match` who can be connected passes; over UDP, who is not unreachable. */
export interface StreamCheckConfig extends CheckRulesConfig {
  udp: boolean;
}

/** A `match` block of stream. Texts are byte strings. */
export interface StreamMatchConfig {
  name: string;
  place: Place;
  /** Null: nothing is sent over TCP, the usual datagram over UDP. */
  send: string | null;
  /** What has to stand somewhere in the answer; null: nothing need be answered. */
  expect: { kind: 'text'; text: string } | { kind: 'regex'; regex: RegexText } | null;
}
