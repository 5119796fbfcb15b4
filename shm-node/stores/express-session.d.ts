import { EventEmitter } from 'events';
import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/**
 * A store for express-session, whose sessions all processes share: `session({ store: new SessionStore({ … }) })`.
 *
 * The errors of the map's go to the callbacks.
 */
export class SessionStore extends EventEmitter {
  /**
   * Default prefix: 'sess:'. `ttl`: milliseconds until a session ends whose cookie has no end. Default: one day.
   */
  constructor(options: PlaceOptions & { ttl?: number });
  readonly map: SharedMap;
  readonly prefix: string;
  get(sid: string, callback: (error: any, session?: any) => void): void;
  set(sid: string, session: any, callback?: (error?: any) => void): void;
  destroy(sid: string, callback?: (error?: any) => void): void;
  /** Writes when the session ends, and nothing else of it. */
  touch(sid: string, session: any, callback?: (error?: any) => void): void;
  all(callback: (error: any, sessions?: { [sid: string]: any }) => void): void;
  length(callback: (error: any, length?: number) => void): void;
  /** Removes all sessions under the prefix, and nothing else. */
  clear(callback?: (error?: any) => void): void;
  /** What express-session's own class has. */
  regenerate(request: any, callback: (error?: any) => any): void;
  load(sid: string, callback: (error: any, session?: any) => any): void;
  createSession(request: any, session: any): any;
}
