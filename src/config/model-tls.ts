/** Types of `Config` about TLS of clients, and whether certificates were revoked (OCSP, RFC 6960). Parts of the model: see model.ts. */

export interface SslServerConfig {
  /** Absent: off, as are the next. */
  stapling?: StaplingConfig;
  ocsp?: OcspConfig;
  certificates: { certificateFile: string; keyFile: string; certificate: string; key: string }[];
  passphrases: string[];
  protocols: string[];
  ciphers: string;
  preferServerCiphers: boolean;
  ecdhCurve: string;
  dhparam: string | null;
  verifyClient: 'off' | 'on' | 'optional' | 'optional_no_ca';
  verifyDepth: number;
  clientCertificate: string | null;
  trustedCertificate: string | null;
  crl: string | null;
  sessionTimeoutSec: number;
  sessionTickets: boolean;
  sessionCache: 'off' | 'none' | 'builtin' | 'shared';
  sessionTicketKeys: string[];
  rejectHandshake: boolean;
  certificateCompression: boolean;
  certificateCache: CertificateCacheConfig | null;
  commands: SslCommands;
}

/** `ssl_certificate_cache`: of certificates and keys whose names hold variables. */
export interface CertificateCacheConfig {
  /** Certificates and keys, counted alike. */
  max: number;
  /** Not asked for so long: dropped. */
  inactiveMs: number;
  /** After that the file is looked at again. */
  validMs: number;
}

/** What `ssl_conf_command` says beyond the other directives; a field that is absent leaves theirs. */
export interface SslCommands {
  certificate?: string;
  key?: string;
  ciphers?: string;
  /** Of TLS 1.3. */
  ciphersuites?: string;
  groups?: string;
  signatureAlgorithms?: string;
  dhparam?: string;
  protocols?: string[];
  /** Bits of `SSL_OP_…` to set and to clear. */
  set?: number;
  clear?: number;
}

/** `ssl_stapling`: answers of OCSP responders that clients are shown with a certificate. */
export interface StaplingConfig {
  /** `ssl_stapling_file`: the one answer there is, one character a byte; null: responders are asked. */
  file: string | null;
  /** By pair of certificate and key; null: nobody can be asked about this one. */
  certificates: ({ issuer: string; responder: string } | null)[];
  /** `ssl_stapling_verify`: certificates (PEM) that an answer's issuer must lead to; null: answers are not verified. */
  trusted: string | null;
}

/** `ssl_ocsp`: responders are asked about clients' certificates. */
export interface OcspConfig {
  /** About all of a chain but its root; else about the client's own alone. */
  chain: boolean;
  /** `ssl_ocsp_responder`; null: those that the certificates name. */
  responder: string | null;
  /** `ssl_ocsp_cache`: answers are kept for as long as they hold. */
  cache: boolean;
}
