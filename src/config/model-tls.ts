/** Types of `Config` about whether certificates were revoked (OCSP, RFC 6960). Parts of the model: see model.ts. */

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
