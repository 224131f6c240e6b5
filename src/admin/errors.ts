/** Errors of the NGINX Plus API: a status, a stable code, a text. */

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, text: string) {
    super(text);
    this.status = status;
    this.code = code;
  }
}

export const pathNotFound = (): ApiError => new ApiError(404, 'PathNotFound', 'path not found');

/** What codes of `control/groups.ts` and `control/keyvals.ts` are as statuses; 400 otherwise. */
const STATUS: Readonly<Record<string, number>> = {
  UpstreamServerNotFound: 404,
  UpstreamOutOfMemory: 507,
  KeyvalKeyNotFound: 404,
  KeyvalKeyExists: 409,
  KeyvalOutOfMemory: 413,
  StateNotWritten: 507,
};

export function statusOf(code: string): number {
  return STATUS[code] ?? 400;
}

/** The error object as the API shows it. */
export function errorBody({ status, code, message }: ApiError, requestId: string): object {
  return {
    error: { status, text: message, code },
    request_id: requestId,
    href: 'https://nginx.org/en/docs/http/ngx_http_api_module.html',
  };
}
