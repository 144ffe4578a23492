const { Sequelize } = require('sequelize');
module.exports = new Sequelize(process.env.DATABASE_URL, {
  dialect: 'postgres',
  pool: { max: 10, min: 2, acquire: 15000, idle: 10000 },
  logging: false,
});
