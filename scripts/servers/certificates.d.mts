/** A certificate and its private key, as PEM texts. */
export interface Certificate {
  cert: string
  key: string
}

export interface Certificates {
  /** The certificate of the authority that has signed the others. */
  ca: string
  /** For 127.0.0.1 and localhost. */
  server: Certificate
  /** For a client that shows who it is. */
  client: Certificate
}

/**
 * Makes an authority and two certificates, valid for two days.
 *
 * @throws Error if openssl is missing
 */
export function makeCertificates(): Promise<Certificates>
