/** The model of what adds subrequests to a location, or changes the body of its answers: plain data, part of `model.ts`. */
import type { ValueText } from './model.ts';

export interface MirrorConfig {
  /** URIs of copies of the request, without variables. Empty: `off`. */
  uris: string[];
  /** Read the body first, and send it with the copies. */
  requestBody: boolean;
}

export interface SsiConfig {
  types: string[];
  silentErrors: boolean;
  lastModified: boolean;
  /** Longest value of a command's parameter. */
  valueLength: number;
}

export interface SubFilterConfig {
  /** Texts that are looked for, in any case (ASCII), in order. */
  pairs: { search: ValueText; replacement: ValueText }[];
  types: string[];
  /** Each is replaced once. */
  once: boolean;
  lastModified: boolean;
}

export interface AdditionConfig {
  /** URIs of subrequests; null: none. */
  before: string | null;
  after: string | null;
  types: string[];
}

export interface AuthRequestConfig {
  uri: string;
  /** `auth_request_set`: evaluated when the subrequest has answered, of its answer. */
  sets: { variable: string; value: ValueText }[];
}
