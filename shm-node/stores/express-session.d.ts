import { EventEmitter } from 'events';
import { SharedMap } from '../map.js';
import { PlaceOptions } from '../lib/stores/place.js';

/**
 * A store for express-session, whose sessions all processes share: `session({ store: new SessionStore({ … }) })`.
 *
 * The callbacks get the errors of the map.
 */
export class SessionStore extends EventEmitter {
  /**
   * Default prefix: 'sess:'. `ttl`: after how many milliseconds a session ends if its cookie has no `maxAge`. Default:
   * one day.
   */
  constructor(options: PlaceOptions & { ttl?: number });
  readonly map: SharedMap;
  readonly prefix: string;
  get(sid: string, callback: (error: any, session?: any) => void): void;
  set(sid: string, session: any, callback?: (error?: any) => void): void;
  destroy(sid: string, callback?: (error?: any) => void): void;
  /** Writes only the time at which the session ends. */
  touch(sid: string, session: any, callback?: (error?: any) => void): void;
  all(callback: (error: any, sessions?: { [sid: string]: any }) => void): void;
  length(callback: (error: any, length?: number) => void): void;
  /** Removes the sessions under the prefix only. */
  clear(callback?: (error?: any) => void): void;
  /** The methods of express-session's own class. */
  regenerate(request: any, callback: (error?: any) => any): void;
  load(sid: string, callback: (error: any, session?: any) => any): void;
  createSession(request: any, session: any): any;
}
