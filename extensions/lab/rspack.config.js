// Ids made of names, not of the checkout's path: the same sources give the same bytes everywhere.
module.exports = { optimization: { moduleIds: 'named', chunkIds: 'named' } };
