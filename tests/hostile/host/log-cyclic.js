// Objects that contain themselves, in all ways.
//
// Tries: to have the console never come to an end.
// Must: be written once each.
//
// @status 200

export default {
  async fetch(request, env, ctx) {
    if (request.url.endsWith("/alive")) return new Response("alive");
    const self = { map: new Map(), set: new Set(), array: [] };
    self.self = self;
    self.map.set(self, self.map);
    self.set.add(self.set).add(self);
    self.array.push(self.array, self);
    console.log(self, self.map, self.set, self.array);
    console.table([self, self]);
    return new Response("logged");
  },
};
