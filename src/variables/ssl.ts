/** `$ssl_…`: of the client's TLS connection. Not found without one, and where there is nothing to tell. */
import { clock } from '../net/clock.ts';
import type { TlsInfo } from '../net/tls-info.ts';
import type { VariableContext } from './context.ts';
import type { Getter } from './value.ts';

type Certificate = NonNullable<TlsInfo['clientCertificate']>;

/** Every line but the first begins with a tab: the obsolete form of a field over several lines. */
function tabbed(pem: string): string {
  return pem.trimEnd().replaceAll('\n', '\n\t');
}

/** Whole days until `notAfter`; 0 when it has passed. */
function daysLeft(notAfter: string): string {
  const end = Date.parse(notAfter);
  return Number.isNaN(end) ? '' : String(Math.max(0, Math.floor((end - clock.wall) / 86_400_000)));
}

/** @param tlsOf what is known of the client's TLS connection; null: there is none */
export function tlsVariables<C extends VariableContext>(tlsOf: (c: C) => TlsInfo | null): Record<string, Getter<C>> {
  const of =
    (text: (tls: TlsInfo) => string | null): Getter<C> =>
    (c) => {
      const tls = tlsOf(c);
      return tls === null ? null : text(tls) || null;
    };
  const ofCertificate = (text: (certificate: Certificate) => string): Getter<C> =>
    of((tls) => (tls.clientCertificate === null ? null : text(tls.clientCertificate)));
  const nothing: Getter<C> = () => null;
  return {
    ssl_protocol: of((tls) => tls.protocol),
    ssl_cipher: of((tls) => tls.cipher),
    ssl_curve: of((tls) => tls.curve),
    ssl_ciphers: of((tls) => tls.ciphers),
    ssl_curves: of((tls) => tls.curves),
    ssl_session_id: of((tls) => tls.sessionId),
    ssl_session_reused: of((tls) => (tls.sessionReused ? 'r' : '.')),
    ssl_server_name: of((tls) => tls.serverName),
    ssl_alpn_protocol: of((tls) => tls.alpn),
    ssl_client_verify: of((tls) => tls.clientVerify),
    ssl_client_cert: ofCertificate((c) => tabbed(c.pem)),
    ssl_client_raw_cert: ofCertificate((c) => c.pem),
    ssl_client_escaped_cert: ofCertificate((c) => encodeURIComponent(c.pem)),
    ssl_client_s_dn: ofCertificate((c) => c.subject),
    ssl_client_i_dn: ofCertificate((c) => c.issuer),
    ssl_client_s_dn_legacy: ofCertificate((c) => legacyName(c.subject)),
    ssl_client_i_dn_legacy: ofCertificate((c) => legacyName(c.issuer)),
    ssl_client_serial: ofCertificate((c) => c.serial),
    ssl_client_fingerprint: ofCertificate((c) => c.fingerprint),
    ssl_client_v_start: ofCertificate((c) => c.notBefore),
    ssl_client_v_end: ofCertificate((c) => c.notAfter),
    ssl_client_v_remain: ofCertificate((c) => daysLeft(c.notAfter)),
    // Node does not tell.
    ssl_sigalg: nothing,
    ssl_sigalgs: nothing,
    ssl_client_sigalg: nothing,
    ssl_early_data: nothing,
    ssl_ech_status: nothing,
    ssl_ech_outer_server_name: nothing,
  };
}

/** `CN=x,O=y` (RFC 2253, last part first) as `/O=y/CN=x`, the form of X509_NAME_oneline. */
function legacyName(name: string): string {
  const parts = name.match(/(?:\\.|[^,\\])+/g) ?? [];
  return parts
    .reverse()
    .map((part) => `/${part.replace(/\\(.)/g, '$1')}`)
    .join('');
}
