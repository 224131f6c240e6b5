/** Why a group cannot be changed so. */

/** Codes of NGINX Plus where it has one. */
export type GroupErrorCode =
  | 'UpstreamServerNotFound'
  | 'UpstreamBadAddress'
  | 'UpstreamConfNoResolver'
  | 'UpstreamNoBackup'
  | 'UpstreamBadRoute'
  | 'UpstreamBadSlowStart'
  | 'UpstreamServerImmutable'
  | 'UpstreamServerWeightImmutable'
  | 'UpstreamOutOfMemory'
  | 'StateNotWritten';

export class GroupError extends Error {
  readonly code: GroupErrorCode;

  constructor(code: GroupErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
