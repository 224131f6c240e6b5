/**
 * Parameters that go to FastCGI, SCGI and uwsgi servers: those of the location (`fastcgi_param`), and the client's fields
 * as `HTTP_…`.
 */
import type { ParamConfig, UpstreamSettings } from '../../../config/model.ts';
import type { Output } from '../../../net/output.ts';
import type { HttpRequest } from '../../request.ts';
import type { VariableTable } from '../../variables/table.ts';
import type { Value } from '../../variables/value.ts';
import { H, KNOWN_COUNT, knownName } from '../../wire/known.ts';
import type { RequestHead } from '../../wire/request-head.ts';

/** Writes one parameter in a protocol's own form. Both are byte strings. */
export type PutParam = (o: Output, name: string, value: string) => void;

interface Param {
  name: string;
  value: Value;
  skipEmpty: boolean;
}

/** `HTTP_…` names of the fields that are known. */
const NAMES: readonly string[] = Array.from({ length: KNOWN_COUNT }, (_, id) => paramName(knownName(id)));

function paramName(field: string): string {
  return `HTTP_${field.toUpperCase().replaceAll('-', '_')}`;
}

export class Params {
  readonly #params: Param[] = [];
  /** `HTTP_…` names that the location sets, or keeps from going out by an empty value; null: none. */
  readonly #own: Set<string> | null;
  readonly #passFields: boolean;

  /** @param passFields whether the client's fields go out (`…_pass_request_headers`) */
  constructor(config: readonly ParamConfig[], passFields: boolean, variables: VariableTable) {
    const own = new Set<string>();
    for (const { name, value, skipEmpty } of config) {
      const field = name.startsWith('HTTP_') && name.length > 5;
      if (field) own.add(name.toUpperCase());
      if (field && value === '') continue;
      this.#params.push({ name, value: variables.compile(value), skipEmpty });
    }
    this.#own = own.size === 0 ? null : own;
    this.#passFields = passFields;
  }

  write(o: Output, r: HttpRequest, put: PutParam): void {
    for (const { name, value, skipEmpty } of this.#params) {
      const text = value.get(r);
      if (text !== '' || !skipEmpty) put(o, name, text);
    }
    if (this.#passFields) this.#writeFields(o, r.head, put);
  }

  /** Fields of one name are one parameter, joined as RFC 9110 section 5.3 says; cookies by a semicolon. */
  #writeFields(o: Output, head: RequestHead, put: PutParam): void {
    for (let i = 0; i < head.count; i++) {
      const id = head.id(i);
      const name = id !== 0 ? NAMES[id]! : paramName(head.name(i));
      if (this.#own !== null && this.#own.has(name)) continue;
      if (id !== 0) {
        if (head.first(id) === i) put(o, name, head.joined(id, id === H.cookie ? '; ' : ', ')!);
      } else {
        const lower = head.name(i).toLowerCase();
        if (head.find(lower) === i) put(o, name, joined(head, lower, i));
      }
    }
  }
}

/** Of requests whose answer is to be cached: all of it is asked for, on the cache's own conditions. */
const CACHE_PARAMS: readonly ParamConfig[] = [
  { name: 'HTTP_IF_MODIFIED_SINCE', value: '$upstream_cache_last_modified', skipEmpty: true },
  { name: 'HTTP_IF_UNMODIFIED_SINCE', value: '', skipEmpty: false },
  { name: 'HTTP_IF_NONE_MATCH', value: '$upstream_cache_etag', skipEmpty: true },
  { name: 'HTTP_IF_MATCH', value: '', skipEmpty: false },
  { name: 'HTTP_RANGE', value: '', skipEmpty: false },
  { name: 'HTTP_IF_RANGE', value: '', skipEmpty: false },
];

/** The parameters of a location: those of any request, and those of requests whose answer is to be cached. */
export class LocationParams {
  readonly #any: Params;
  /** Null: the location has no cache. */
  readonly #cached: Params | null;

  constructor(config: UpstreamSettings & { params: readonly ParamConfig[] }, variables: VariableTable) {
    const { params, passRequestHeaders } = config;
    this.#any = new Params(params, passRequestHeaders, variables);
    const given = new Set(params.map(({ name }) => name.toUpperCase()));
    const own = CACHE_PARAMS.filter(({ name }) => !given.has(name));
    this.#cached = config.cache === null ? null : new Params([...params, ...own], passRequestHeaders, variables);
  }

  of(cached: boolean): Params {
    return cached && this.#cached !== null ? this.#cached : this.#any;
  }
}

function joined(head: RequestHead, lower: string, first: number): string {
  let text = head.value(first);
  for (let i = head.find(lower, first); i >= 0; i = head.find(lower, i)) text += `, ${head.value(i)}`;
  return text;
}
