export const config = {
  port: Number(process.env.PORT ?? 8080),
  jwtSecret: process.env.JWT_SECRET,
  cache: { max: 0, ttl: 60 },
};
