module.exports = {
  production: {
    dialect: 'postgres',
    use_env_variable: 'DATABASE_URL',
    pool: { max: 5, min: 10, acquire: 30000, idle: 10000 },
  },
};
