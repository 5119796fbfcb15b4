import map from './map.js';

export default map;
export const { SharedMap } = map;
