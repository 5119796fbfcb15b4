import * as map from './map.js';

export * from './map.js';
export default map;
